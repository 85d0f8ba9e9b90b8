"""A worker that ends its own machine when nobody needs it any more: when, how, and how it says so beforehand."""
