"""What builds the documentation's reference from the code. None of it is part of the site itself."""
