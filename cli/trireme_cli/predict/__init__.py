"""`trireme predict`: texts, pictures and rows of numbers, one or thousands, to answers."""
