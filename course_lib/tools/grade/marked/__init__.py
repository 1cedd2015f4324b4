"""From what came out of the wall, validated, to points and sentences, and the file that keeps them."""
