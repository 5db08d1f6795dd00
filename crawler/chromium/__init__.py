"""Pages that need JavaScript, in a browser that reaches nothing but through our own proxy."""
