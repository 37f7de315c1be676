"""FTP and FTPS, over the standard library's ftplib."""
