"""`python -m api.client`: the `drybeans` command where it has not been installed."""

from api.client.cli import main

if __name__ == "__main__":
    main()
