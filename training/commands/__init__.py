"""The commands of training: `outcry train`, `outcry night`."""
