"""Keep a folder equal to what a catalogue lists."""
