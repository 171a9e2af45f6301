"""The console: a page that asks the platform, and the files behind it and behind /docs."""
