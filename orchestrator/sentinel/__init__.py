"""Sentinels: one control that every node trains again and again: a node that has become slow or wrong is seen."""
