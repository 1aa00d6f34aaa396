"""`python -m app` is the command `tacit`."""

from app.cli.main import main

if __name__ == "__main__":
    main()
