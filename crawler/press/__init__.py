"""Press releases: what they say of themselves, and which are copies of which."""
