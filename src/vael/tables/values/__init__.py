"""What a cell means: numbers, dates and days written as text, and the types of Arrow."""
