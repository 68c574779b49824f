"""What a fit leaves behind: plain data that answers, and how it is read and written."""
