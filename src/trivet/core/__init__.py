"""The ground floor: what every other room stands on and that stands on nothing of trivet's."""
