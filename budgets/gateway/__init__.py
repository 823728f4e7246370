"""
The metering gateway: programs call it as they would call a provider, and each call is under a budget.

A call is authenticated (`callers`), placed (`places`), held in its turn (`line`), forwarded as it is but for
what the budget needs (`forwarding`), and settled; a refusal is in the dialect of the call (`refusals`).
"""
