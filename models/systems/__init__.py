"""Systems: one folder a paper. None imports another; what two need lies on the parts floor."""
