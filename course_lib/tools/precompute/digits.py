"""The 1,797 handwritten digits of 8 x 8 that scikit-learn brings, as one small file (chapter 13).

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
https://doi.org/10.24432/C50P49, licence CC BY 4.0. Nothing is changed but the order of the axes. One second.
"""

import numpy as np

from course_lib.tools.precompute import save

SOURCE = "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI, doi 10.24432/C50P49"
LICENCE = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"


def main() -> None:
    """images (1797, 8, 8) from 0 (paper) to 16 (ink), labels (1797,), and whose they are."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    save("digits", {"images": images, "labels": labels, "source": SOURCE, "licence": LICENCE})


if __name__ == "__main__":
    main()
