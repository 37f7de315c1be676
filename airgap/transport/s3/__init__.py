"""Object stores that speak S3, over obstore."""
