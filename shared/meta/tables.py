"""Every table of the metadata database. Those of search come last: triggers write there when rows of objects go."""

from __future__ import annotations

from shared.meta import identity_models, key_models, models, search_models

ALL = (*models.ALL, *identity_models.ALL, *key_models.ALL, *reversed(search_models.ALL))
