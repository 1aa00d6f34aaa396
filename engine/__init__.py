"""The method: labelling, selection, compression, training, evaluation. Knows neither the pages nor the database."""
