"""Text and files to sound. The synthesiser runs in a process of its own."""
