"""The store: where plans, detections, tracks, segments and outputs lie between the stages."""
