"""A lab of processes that are killed: what a run leaves behind is held against what physically happened.

The wells live in a process of their own (`reality`), which nobody kills, because wells survive a crash. Robot
(`robot`) and flow (`flow`) are forked from one warm process (`director`) and killed at chosen instants (`triggers`);
then the work is taken up again as a user would, and `judge` compares journal, stock and wells.
"""
