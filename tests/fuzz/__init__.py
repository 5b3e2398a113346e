"""Whatever stands in what vitalsd reads: one file for each thing that is read, and the hunt for what breaks it."""
