"""`python -m lmmdsl` is `lmmc`."""

from lmmdsl.cli.main import main

if __name__ == "__main__":
    main()
