"""Documents with mentions, and the formats to read and write them."""
