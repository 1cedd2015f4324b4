"""Inside the wall: beside a student's code, so nothing is believed. Of the grader, these files alone go in."""
