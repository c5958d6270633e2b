"""The pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from shop import views

urlpatterns = [
    path("", views.shop),
    path("orders/<int:number>", views.order),
    path("admin/", admin.site.urls),
]
