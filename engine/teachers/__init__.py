"""The teachers behind the `Teacher` port."""
