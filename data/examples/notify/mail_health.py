#!/usr/bin/env python3
"""Mail what becomes of the machine's health, by the sendmail of whatever mailer is installed (msmtp-mta, postfix, ...).

    MAILTO=me@example.org healthctl notify --exec ./mail_health.py --at-most 6/h

As a service: health-notify.service beside this, which lets no mailer take other rights or write a queue: msmtp needs
neither, postfix and exim both.
"""

import json
import os
import subprocess
import sys
from email.message import EmailMessage


def words(told: dict[str, str]) -> str:
    """Return one transition as lines of text."""
    line = f"{told['time']}  {told['condition']} is {told['to']}"
    return line if told["to"] == "ok" else f"{line}\n    {told['summary']}\n    {told['remedy']}"


def mail(told: dict, to: str) -> EmailMessage:
    """Return the mail, with what was left out before in it."""
    message = EmailMessage()
    message["To"] = to
    more = f" and {len(told['left_out'])} more" if told["left_out"] else ""
    subject = f"{told['host']}: {told['condition']} is {told['to']}{more}"
    # A mount point's name may hold anything.
    message["Subject"] = " ".join(subject.split())
    lines = [words(each) for each in (*told["left_out"], told)]
    message.set_content("\n".join(lines) + f"\n\nThe worst now: {told['worst']}\n")
    return message


if __name__ == "__main__":
    content = mail(json.load(sys.stdin), os.environ.get("MAILTO", "root")).as_bytes()
    sendmail = os.environ.get("SENDMAIL", "/usr/sbin/sendmail")
    try:
        sys.exit(subprocess.run([sendmail, "-t", "-i"], input=content, check=False).returncode)  # noqa: S603
    except OSError as error:
        sys.exit(f"mail_health.py: {sendmail} can't be run: {error.strerror}")
