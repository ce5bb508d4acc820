"""What tasks print and display, under the cell that launched them."""
