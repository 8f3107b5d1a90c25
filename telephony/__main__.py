"""``python -m telephony`` is the command."""

from telephony.cli import main

if __name__ == "__main__":
    main()
