"""Every public name against every contract: `table.py` is the table, `cells/` the tests in it."""
