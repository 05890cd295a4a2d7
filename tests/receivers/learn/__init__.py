"""The part of MIT Learn that a webhook sender can observe: its routes, checks, error handlers and validation.

The arrangement is MIT Learn's (error handlers, decorator order, serializer rules, route patterns); the code is ours.
What stands behind the views there (Celery, PostgreSQL, OpenSearch) is here a set in memory and a list of faults.
"""
