"""Alembic's scripts. ``telephony migrate`` and every start run them through store/migrate.py."""
