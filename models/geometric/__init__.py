"""The picture made without learned weights: mattes, backgrounds, appearance and rendering."""
