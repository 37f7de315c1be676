"""SFTP over paramiko's SSH: host keys, logins, and pipelined requests."""
