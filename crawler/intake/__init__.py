"""What others captured or saved: files, archives, Common Crawl, other hosts; and work on thousands of files."""
