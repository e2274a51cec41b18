"""The only SQL in drybeans: tables, migrations, and one module for each thing done to them."""
