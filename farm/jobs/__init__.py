"""What any caller of the farm uses: submit a video, look at jobs, change them."""
