"""A robot server on 127.0.0.1 that answers as an Opentrons Flex or OT-2 (robot software 8.2) does.

What differs from the real one, on purpose:

- `loadLabware` and `loadModule` results carry no `definition`, because analyses are stored without them.
- A protocol's run-time parameters are read from its source text, so only literal arguments are known.
- Commands sent over HTTP are always awaited, and a maintenance run takes commands but calibrates nothing.
- A stopped run interrupts the command that is being executed before it acts; it does not move to the trash afterwards.
- Compliance mode is that of robot software 10 as its sources show it; everything else is 8.2.
"""
