"""Telling somebody what becomes of the machine's conditions.

transitions  what there is to tell, over the ends and beginnings of healthd
desktop      as bubbles, by the notification server of the session
errands      by a command of the user's own
"""
