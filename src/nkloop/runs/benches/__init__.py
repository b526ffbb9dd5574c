"""The benches of a workspace: what their files say, and whether the devices are as the files say."""
