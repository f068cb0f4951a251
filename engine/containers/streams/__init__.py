"""What flows in and out while a container runs: attachments and exec sessions."""
