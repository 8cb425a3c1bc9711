"""The server around the page: requests, uploads, files, decoding, long work, and limits on all of them."""
