"""The virtual bench: robot, plate reader, cell counter, operator and clock in front of one hidden world.

Nothing below this package may import it; its biology is known to nobody outside.
"""
