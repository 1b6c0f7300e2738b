"""tmp"""
def convert(objects, controller="ingress_nginx", https="tcp"):
    return {}
