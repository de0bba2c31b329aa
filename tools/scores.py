"""Scores from financial statements: DuPont, Altman Z, Piotroski F, Beneish M."""
