"""Django settings: those of MIT Learn that change what a webhook sender sees, and no database.

Left out on purpose: `SECURE_SSL_REDIRECT` (on there: plain http is answered 301), since the receiver speaks http on
loopback. `DATA_UPLOAD_MAX_MEMORY_SIZE` and `APPEND_SLASH` are deliberately not set: Django's defaults are the contract.
"""

SECRET_KEY = "the-receiver-signs-nothing-that-matters"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "learn.urls"
USE_TZ = True
DATABASES: dict[str, dict[str, str]] = {}
STATIC_URL = "/static/"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# DRF answers a client that prefers HTML with its browsable pages, which are templates.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
    "ALLOWED_VERSIONS": ["v0", "v1"],
    "EXCEPTION_HANDLER": "learn.handlers.with_error_type",
}

# Nothing is logged unless the program is asked to: a test that does not drain stderr must not block the receiver.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
    "loggers": {"django": {"handlers": ["nowhere"], "propagate": True}},
}

# As deployed: any CloudFront distribution, and the host of OVS itself.
OVS_API_BASE_URL = "https://video.odl.mit.edu"
OVS_ALLOWED_MEDIA_HOSTS = [".cloudfront.net"]
