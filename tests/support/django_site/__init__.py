"""A project of Django for the tests of `fluxqueue.django`."""
