"""Settings from flags, environment and configuration file, validated once and immutable.

All invalid values are reported together, with their source, before anything is touched. `settings` has a row for each
setting, `options` defines a row, `kinds` the valid values, and `loading` merges the sources.
"""
